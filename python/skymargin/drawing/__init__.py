"""The rooms of the pictures: what `skymargin.plot` shows, where it lies on the paper, and how it is drawn."""
