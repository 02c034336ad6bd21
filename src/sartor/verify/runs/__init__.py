"""The grades above *loads*, *launches* and *golden*: what is installed computes."""
