"""What single lessons use, with their figures (`plots`) and exercises; a module says which lesson it belongs to."""
