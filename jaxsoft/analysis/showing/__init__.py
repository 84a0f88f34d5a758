"""How it is shown: words, figures as values and the one function that draws them, the document."""
