"""Database and files: accounts, exams and images. No other package reads or writes them."""
