#!/bin/sh
# The report is looked at in a real browser. Installs one where that is allowed; else the test that needs it is skipped.
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) >/dev/null 2>&1 && exit 0
fi
echo "=== NO CHROMIUM: the test of the report in a browser will be skipped. Install it with: apt-get install chromium ===" >&2
