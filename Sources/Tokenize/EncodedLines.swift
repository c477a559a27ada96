import Foundation

/// The ids of the lines of a block, in one piece of memory.
final class EncodedLines {
  /// One line.
  struct Line {
    /// End of its ids; they begin where those of the line before end.
    var idEnd: Int
    var words: Int32
    /// Bytes of the text and one newline.
    var bytes: Int32
  }

  private(set) var ids: UnsafeMutablePointer<Int32>
  private(set) var idCapacity: Int
  var idCount = 0
  private(set) var lines: [Line] = []

  init(idCapacity: Int = 1 << 16) {
    self.idCapacity = idCapacity
    ids = .allocate(capacity: idCapacity)
  }

  deinit { ids.deallocate() }

  func removeAll() {
    idCount = 0
    lines.removeAll(keepingCapacity: true)
  }

  /// Makes room for `extra` more ids.
  func reserve(_ extra: Int) {
    if idCount + extra <= idCapacity { return }
    let capacity = max(2 * idCapacity, idCount + extra)
    let larger = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
    memcpy(larger, ids, idCount * MemoryLayout<Int32>.stride)
    ids.deallocate()
    ids = larger
    idCapacity = capacity
  }

  func append(_ newIDs: [Int32]) {
    reserve(newIDs.count)
    for (index, id) in newIDs.enumerated() { ids[idCount + index] = id }
    idCount += newIDs.count
  }

  /// Takes all ids since the last line as a line.
  func endLine(words: Int, bytes: Int) {
    lines.append(Line(idEnd: idCount, words: Int32(words), bytes: Int32(bytes)))
  }

  /// The ids of a line.
  subscript(index: Int) -> UnsafeBufferPointer<Int32> {
    let start = index == 0 ? 0 : lines[index - 1].idEnd
    return UnsafeBufferPointer(start: ids + start, count: lines[index].idEnd - start)
  }
}
