"""The web server's front: a class of gunicorn workers that no client can hold up."""
