"""Looking at a file: what it holds beside what its product expects, or a suggestion for one."""
