package import Storage

/// Why a file is no n-gram model that can be used.
package enum ArpaError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A line that is not what stands there in an ARPA file.
  case line(path: String, number: Int, expected: String, found: String)
  /// The file ends too early, or is no ARPA file at all.
  case incomplete(path: String, expected: String)
  /// No word of the model is the end of a sentence.
  case withoutEnd(path: String)
  case memory(MemoryShortage)

  package var description: String {
    switch self {
    case .line(let path, let number, let expected, let found):
      "\(path), line \(number): expected \(expected), found \(found); give a model in the ARPA format, as lmplz "
        + "of KenLM or ngram-count of SRILM writes it"
    case .incomplete(let path, let expected):
      "\(path) ends before \(expected); give a whole model in the ARPA format, as lmplz of KenLM or ngram-count "
        + "of SRILM writes it"
    case .withoutEnd(let path):
      "\(path) has no </s> among its words, expected a probability for the end of a sentence; make the model from "
        + "text with one sentence a line, by lmplz of KenLM or by ngram-count of SRILM without -no-eos"
    case .memory(let shortage): "\(shortage)"
    }
  }
}
