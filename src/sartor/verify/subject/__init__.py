"""What is verified: an environment, its interpreter, what is installed in it and read of it."""
