"""From foreign files to batches of tokens: archives and tables are read, rows are made, filtered and
split, prompts are rendered and encoded. Uses storage; everything that reads text may import it.
"""
