"""What models answer, as tables: columns, their cells, and how Arrow and text say them."""
