"""From a library and GPUs to a smaller library: what no GPU asked for would load is left out."""
