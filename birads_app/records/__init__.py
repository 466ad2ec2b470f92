"""What is kept: accounts, exams and their images. Nothing else reads or writes the database or the images."""
