"""Published files of every format: archives, pickles, pictures. What is damaged is refused by name."""
