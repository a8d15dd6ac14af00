"""Reading hostile files in a throw-away process that has no secrets, no network, no files and few resources."""
