package import LMData
import Storage

/// A part of a corpus that one of several processes or machines encodes by itself.
///
/// Parts are stretches of its files, in order, so that the shards of all parts, one part after the other,
/// are those of the whole. A file is not cut: give a large corpus as many files.
package struct CorpusPart: Equatable, Sendable {
  package let info: PartInfo

  /// - Throws: One sentence unless `number` is from 1 to `count`.
  package init(_ number: Int, of count: Int) throws(TokenizerError) {
    guard (1...max(count, 1)).contains(number), count <= 100_000 else {
      throw .options("--part \(number)/\(count) is no part; give 1/\(count) to \(count)/\(count)")
    }
    info = PartInfo(number: number, of: count)
  }

  /// The files of the part; about as many bytes on the disk as in every other.
  func files(of corpus: Corpus) -> Range<Int> {
    let sizes = corpus.files.map { (try? Files.size(of: $0.path)) ?? 0 }
    let total = sizes.reduce(0, +)
    /// The first file whose middle lies behind so many parts.
    func begin(_ part: Int) -> Int {
      if part == 0 { return 0 }
      if part == info.of { return sizes.count }
      var before = 0
      for (index, size) in sizes.enumerated() {
        let middle = before + size / 2
        // Fewer than 2^63: a hundred thousand parts of 90 TB.
        if middle * info.of >= total * part {
          return index
        }
        before += size
      }
      return sizes.count
    }
    let first = begin(info.number - 1)
    return first..<max(first, begin(info.number))
  }
}
