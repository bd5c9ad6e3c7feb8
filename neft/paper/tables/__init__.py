"""Tables as in the publication: one plug-in per kind of table."""
