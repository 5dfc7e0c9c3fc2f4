"""A photo through a network in bands of rows: what each operation reads, keeps and gives."""
