"""What a resolution will be on a host, judged before anything of it is fetched."""
