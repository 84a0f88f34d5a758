"""Published files of every format: archives, pickles, pictures, folders of pictures. What is damaged is refused by name."""
