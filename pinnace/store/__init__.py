"""What is kept on disk: blobs, layers, images, the database."""
