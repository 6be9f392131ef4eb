"""What is made from rows: named vectors, and analyses by language models or by rules."""
