import LMData

/// Names of pieces that text may spell without meaning them, for a tokenizer that would take the text
/// by its word: markers, byte pieces, user-defined symbols without the space before them.
enum HiddenNames {
  /// A regular expression of single characters behind which a text is cut, each inside of such a name.
  ///
  /// A cut changes nothing else where no text piece holds the two characters beside it; where there is
  /// no such place, it is behind the first character.
  static func pattern(_ model: SentencePieceModel) -> String {
    let markers = [model.special.bos, model.special.eos, model.special.unk]
    let others = model.ids { $0 == .control || $0 == .userSymbol }.filter { !markers.contains($0) }
    var names = (markers + others).map {
      Array(
        String(decoding: HuggingFaceTokenizer.tokenName(model, $0), as: UTF8.self).unicodeScalars)
    }
    names = names.map { $0.map { $0 == " " ? "▁" : $0 } }
    let pairs = Set(names.flatMap { name in name.indices.dropFirst().map { pair(name, $0) } })
    let held = heldPairs(model, of: pairs.union([pair("<", "0"), pair("0", "x")]))

    /// The names that are cut behind a character, by what comes up to there.
    var cuts: [(before: [Unicode.Scalar], rests: [String])] = []
    func add(_ before: [Unicode.Scalar], _ rest: String) {
      if let index = cuts.firstIndex(where: { $0.before == before }) {
        cuts[index].rests.append(rest)
      } else {
        cuts.append((before, [rest]))
      }
    }
    for name in names {
      let place = name.indices.dropFirst().first { !held.contains(pair(name, $0)) } ?? 1
      add(Array(name[..<place]), escaped(name[place...]))
    }
    let isHeld = held.contains(pair("<", "0")) && !held.contains(pair("0", "x"))
    if isHeld { add(["<", "0"], "x[0-9A-F]{2}>") } else { add(["<"], "0x[0-9A-F]{2}>") }
    return cuts.map { before, rests in
      let behind = before.dropLast()
      return (behind.isEmpty ? "" : "(?<=\(escaped(behind)))") + escaped(before.suffix(1))
        + "(?=\(rests.joined(separator: "|")))"
    }.joined(separator: "|")
  }

  /// Two neighbouring characters as one number.
  private static func pair(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> UInt64 {
    UInt64(first.value) << 32 | UInt64(second.value)
  }

  private static func pair(_ name: [Unicode.Scalar], _ place: Int) -> UInt64 {
    pair(name[place - 1], name[place])
  }

  /// Those of some pairs that text pieces hold.
  private static func heldPairs(_ model: SentencePieceModel, of wanted: Set<UInt64>) -> Set<UInt64>
  {
    var held: Set<UInt64> = []
    for id in model.ids({ $0 == .text }) {
      var before: Unicode.Scalar?
      for scalar in String(decoding: model.piece(id), as: UTF8.self).unicodeScalars {
        if let before, wanted.contains(pair(before, scalar)) { held.insert(pair(before, scalar)) }
        before = scalar
      }
    }
    return held
  }

  /// Text as a regular expression that means it.
  static func escaped(_ text: [UInt8]) -> String {
    escaped(String(decoding: text, as: UTF8.self).unicodeScalars)
  }

  private static func escaped(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var text = ""
    for scalar in scalars {
      if "\\^$.|?*+()[]{}".unicodeScalars.contains(scalar) { text += "\\" }
      text.unicodeScalars.append(scalar)
    }
    return text
  }
}
