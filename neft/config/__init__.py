"""What a user may write, and whether it makes sense as a whole. Only the workflow imports it: a script
that did would depend on every key.
"""
