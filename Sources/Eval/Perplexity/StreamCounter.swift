import LMData

/// Counts sentences, words and bytes of consecutive sequences of a text.
///
/// A window of stream mode may begin and end inside a sentence, even inside a word: words and
/// bytes are counted when the sentence ends.
struct StreamCounter {
  private let eos: Int32
  private let tokens: TokenTable
  /// Reads the text of every complete sentence.
  private let reader: SentenceReader?
  /// Tokens of the incomplete sentence.
  private var open: [Int32] = []

  init(eos: Int32, tokens: TokenTable, reader: SentenceReader? = nil) {
    self.eos = eos
    self.tokens = tokens
    self.reader = reader
  }

  /// The tally of the next sequence and of the sentences that end in it.
  mutating func add(_ score: SequenceScore) -> Tally {
    var tally = Tally()
    tally.nats = score.nats
    for target in score.targets {
      if target == eos {
        let (words, bytes) = tokens.measure(open)
        tally.words += words
        tally.bytes += bytes
        tally.sentences += 1
        reader?.read(tokens.decode(open))
        open.removeAll(keepingCapacity: true)
      } else {
        tally.tokens += 1
        open.append(target)
      }
    }
    return tally
  }

  /// Words and bytes of the incomplete sentence at the end, without a newline.
  mutating func rest() -> Tally {
    guard !open.isEmpty else { return Tally() }
    let (words, bytes) = tokens.measure(open)
    open.removeAll()
    return Tally(nats: 0, tokens: 0, sentences: 0, words: words, bytes: bytes - 1)
  }
}
