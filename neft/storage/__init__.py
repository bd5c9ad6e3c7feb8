"""Files that are whole or not there, and unchanged: atomic writes, folders with a record, sealed
safetensors. Knows nothing of models or results; everyone may import it.
"""
