import LMData
import Storage

/// The place of a word list to be written.
package enum WordListFile {
  /// Throws if a file stands there that may not be replaced: only a list that was written before is,
  /// with a count behind every word, and none that is being read.
  package static func check(_ path: String, inputs: [String]) throws(TokenizerError) {
    if let link = PathTrail.link(path) {
      throw .options(
        "\(path) is a symbolic link to \(link); give the file itself to --write-vocabulary")
    }
    guard Files.exists(path) else { return }
    guard Files.isRegularFile(path) else {
      throw .options("\(path) is not a regular file; give --write-vocabulary another name")
    }
    let identity = try? Files.identity(of: path)
    for input in inputs where (try? Files.identity(of: input)) == identity {
      throw refusal(path, "it is \(input), which is read")
    }
    guard try isWritten(path) else {
      throw refusal(path, "it is not a list that --write-vocabulary has written")
    }
  }

  private static func refusal(_ path: String, _ reason: String) -> TokenizerError {
    .options(
      "\(path) exists already and cannot be replaced: \(reason); give --write-vocabulary another "
        + "name")
  }

  /// Whether every line is a word, a tab and a count, or there is none.
  private static func isWritten(_ path: String) throws(TokenizerError) -> Bool {
    let file: MappedFile
    do { file = try MappedFile(path: path) } catch { throw .storage(error) }
    return withExtendedLifetime(file) {
      if file.bytes.isEmpty { return true }
      guard file.bytes.last == 0x0A else { return false }
      return file.bytes.dropLast().split(separator: 0x0A, omittingEmptySubsequences: false)
        .allSatisfy(isWordWithCount)
    }
  }

  private static func isWordWithCount(_ line: some Collection<UInt8>) -> Bool {
    let fields = line.split(separator: 0x09, omittingEmptySubsequences: false)
    return fields.count == 2 && !fields[0].isEmpty && !fields[0].contains(where: Words.isSpace)
      && !fields[1].isEmpty
      && fields[1].allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }
}
