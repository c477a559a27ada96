# shellcheck shell=bash
# Sourced by the scripts that disturb small runs: text that is the same everywhere and needs no file.

# Prints a seeded walk over fourteen words, 2 to 15 of them a line.
toy_text() { # toy_text LINES SEED
  awk -v lines="$1" -v state="$2" 'BEGIN {
    split("a the king shepherd river city stranger saw blessed followed knew children night of", w, " ")
    for (line = 0; line < lines; line++) {
      text = ""
      state = (state * 1103515245 + 12345) % 2147483648
      count = 2 + int(state / 65536) % 14
      for (i = 0; i < count; i++) {
        state = (state * 1103515245 + 12345) % 2147483648
        text = text (i ? " " : "") w[1 + int(state / 65536) % 14]
      }
      print text
    }
  }'
}
