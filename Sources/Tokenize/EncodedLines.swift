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
  private var lineMemory: UnsafeMutablePointer<Line>
  private var lineCapacity = 1 << 10
  private(set) var lineCount = 0

  init(idCapacity: Int = 1 << 16) {
    self.idCapacity = idCapacity
    ids = .allocate(capacity: idCapacity)
    lineMemory = .allocate(capacity: lineCapacity)
  }

  deinit {
    ids.deallocate()
    lineMemory.deallocate()
  }

  /// Valid until the next change.
  var lines: UnsafeBufferPointer<Line> { UnsafeBufferPointer(start: lineMemory, count: lineCount) }

  func removeAll() {
    idCount = 0
    lineCount = 0
  }

  /// Makes room for `extra` more ids.
  func reserve(_ extra: Int) {
    if idCount + extra <= idCapacity { return }
    let capacity = max(2 * idCapacity, idCount + extra)
    ids = Self.grow(ids, idCount, to: capacity)
    idCapacity = capacity
  }

  func append(_ newIDs: [Int32]) {
    reserve(newIDs.count)
    for (index, id) in newIDs.enumerated() { ids[idCount + index] = id }
    idCount += newIDs.count
  }

  /// Takes all ids since the last line as a line.
  func endLine(words: Int, bytes: Int) {
    if lineCount == lineCapacity {
      lineMemory = Self.grow(lineMemory, lineCount, to: 2 * lineCapacity)
      lineCapacity *= 2
    }
    lineMemory[lineCount] = Line(idEnd: idCount, words: Int32(words), bytes: Int32(bytes))
    lineCount += 1
  }

  /// The ids of a line.
  subscript(index: Int) -> UnsafeBufferPointer<Int32> {
    let start = index == 0 ? 0 : lines[index - 1].idEnd
    return UnsafeBufferPointer(start: ids + start, count: lines[index].idEnd - start)
  }

  private static func grow<Element>(
    _ memory: UnsafeMutablePointer<Element>, _ count: Int, to capacity: Int
  ) -> UnsafeMutablePointer<Element> {
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    larger.moveInitialize(from: memory, count: count)
    memory.deallocate()
    return larger
  }
}
