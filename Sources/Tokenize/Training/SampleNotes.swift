/// What the training of a tokenizer does not see as it stands in the text.
enum SampleNotes {
  /// One sentence each, none for ordinary text.
  ///
  /// That only some of the lines are drawn is what the user asked for, unless memory is the reason.
  static func notes(
    of sentences: [[UInt8]], from totals: SentenceSample.Totals, _ limits: SampleLimits
  ) -> [String] {
    var notes: [String] = []
    if totals.longLines > 0 {
      notes.append(
        "\(counted(totals.longLines, "line")) of more than \(TrainerText.longestSentence) bytes "
          + "\(totals.longLines == 1 ? "is" : "are") cut into "
          + "\(counted(totals.partsOfLongLines, "sentence")) for the training of the tokenizer")
    }
    let bytes = sentences.reduce(0) { $0 + $1.count }
    if sentences.count < totals.sentences && sentences.count < limits.sentences {
      notes.append(
        "the tokenizer is trained on \(bytes) of \(totals.bytes) bytes of text, drawn at random: "
          + "the trainer's memory has room for \(limits.bytes)")
    }
    let reserved = sentences.reduce(0) { $0 + TrainerText.replacingReserved(in: $1).count }
    if reserved > 0 {
      notes.append(
        "\(counted(reserved, "character")) ▅ or ▁ of the text that the tokenizer is trained on "
          + "\(reserved == 1 ? "is" : "are") in no piece, since the trainer keeps them for itself; "
          + "they are spelled by their bytes")
    }
    return notes
  }

  private static func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }
}
