"""What only those who reproduce the publication need: published values, its tables, its claims."""
