"""Where rows and models come from: one plug-in per kind of source."""
