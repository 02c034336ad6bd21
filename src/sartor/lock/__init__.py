"""The lock: what a plan chose, written down so that another machine or another day gets the same.

Pure: values and texts in, values and texts out. `sartor.locking` reads and writes the files.
"""
