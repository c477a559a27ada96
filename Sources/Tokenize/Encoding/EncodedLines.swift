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
    ids = Self.resize(nil, to: idCapacity)
    lineMemory = .allocate(capacity: lineCapacity)
  }

  deinit {
    free(ids)
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
    // Of much memory less is taken ahead of need.
    let ahead = idCapacity < 1 << 24 ? 2 * idCapacity : idCapacity + idCapacity / 4
    let capacity = max(ahead, idCount + extra)
    ids = Self.resize(ids, to: capacity)
    idCapacity = capacity
  }

  func append(_ newIDs: [Int32]) {
    reserve(newIDs.count)
    for (index, id) in newIDs.enumerated() { ids[idCount + index] = id }
    idCount += newIDs.count
  }

  func append(_ id: Int32) {
    reserve(1)
    ids[idCount] = id
    idCount += 1
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

  /// The system moves large memory without a second copy of it.
  private static func resize(
    _ ids: UnsafeMutablePointer<Int32>?, to capacity: Int
  ) -> UnsafeMutablePointer<Int32> {
    guard let larger = realloc(ids, capacity * MemoryLayout<Int32>.stride) else {
      preconditionFailure("no memory for \(capacity) ids")
    }
    return larger.assumingMemoryBound(to: Int32.self)
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
