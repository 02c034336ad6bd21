"""What an environment is proved to do, by trying it in processes of its own."""
