"""Who is trained: waves of members, resumed, halved; the rows of their outcomes."""
