"""How well the ranking finds the files of historical fixes, against plain BM25."""
