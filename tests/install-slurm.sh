#!/bin/sh
# The cluster profile is tested on a real SLURM of one node. Installs its daemons (none starts by itself) where that is allowed; else
# the tests that need them are skipped; where CI runs as root they fail.
PATH=$PATH:/usr/sbin:/sbin
command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null && command -v munged >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    (apt-get update -qq && apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge) >/dev/null 2>&1 && exit 0
fi
echo "=== NO SLURM: the cluster tests will be skipped. Install it with: apt-get install slurmctld slurmd slurm-client munge ===" >&2
