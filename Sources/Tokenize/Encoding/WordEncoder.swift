import Foundation
import LMData

/// Encodes single words and remembers them; the property of one ``LineEncoder``.
final class WordEncoder {
  private let model: SentencePieceModel
  private let table: WordTable
  private let cache: WordCache
  private let unigram: UnigramWords?
  private let merges: MergeWords?

  /// For each id, the byte that it stands for, or -1.
  private let byteOf: [Int16]
  private var spaceIDs: [Int32]?

  /// The piece of the word `<UNK>`, or -1.
  private let unknownWordID: Int32

  /// Ids before the line whose score ``unigram`` is adding up.
  private var scoredLine = -1

  /// Words found since the last exchange.
  private var batch = WordExchange.Batch()
  private let exchange: WordExchange?
  private let member: Int

  init(
    model: SentencePieceModel, table: WordTable, cacheSlots: Int, exchange: WordExchange?
  ) {
    self.model = model
    self.exchange = exchange
    member = exchange?.join() ?? 0
    self.table = table
    cache = WordCache(capacity: cacheSlots)
    unigram = model.modelType == .unigram ? UnigramWords(model: model) : nil
    merges = model.modelType == .bpe ? MergeWords(model: model) : nil
    var byteOf = [Int16](repeating: -1, count: model.vocabularySize)
    for (byte, id) in model.byteIDs.enumerated() where id >= 0 { byteOf[Int(id)] = Int16(byte) }
    self.byteOf = byteOf
    unknownWordID = model.unknownWordID ?? -1
  }

  /// Ids of the empty word: the library gives nothing for an empty text, so half of those of a space.
  private func idsOfNothing() throws(TokenizerError) -> [Int32] {
    if let spaceIDs { return spaceIDs }
    let space = try model.encode([0x20])
    let ids = Array(space.prefix(space.count / 2))
    spaceIDs = ids
    return ids
  }

  /// Lines are counted anew.
  func beginBlock() {
    scoredLine = -1
    guard let exchange else { return }
    batch.close()
    let received = exchange.exchange(batch, of: member)
    batch = WordExchange.Batch()
    for batch in received { remember(batch) }
  }

  /// Encodes a word that the table does not have, or not for this place.
  ///
  /// - Parameters:
  ///   - word: ``LineEncoder/padding`` more bytes must be readable.
  ///   - lineStart: First byte of the word's line.
  ///   - firstID: Number of ids in `result` before the word's line.
  /// - Returns: Its ``Words``, which may be several, or `nil` if it is not UTF-8.
  func encode(
    _ word: UnsafeBufferPointer<UInt8>, lineStart: UnsafePointer<UInt8>, firstID: Int,
    into result: EncodedLines
  ) throws(TokenizerError) -> Int? {
    if word.isEmpty {
      result.append(try idsOfNothing())
      return 0
    }
    if word.count > MergeWords.longestWord,
      let runs = try encodeLong(word, firstID: firstID, into: result)
    {
      return runs
    }
    // A byte has at most one id, and the marker before each word at most three.
    result.reserve(4 * word.count + 8)
    let target = result.ids + result.idCount
    var key: WordKey?
    if word.count <= WordCache.longestWord, let base = word.baseAddress {
      let wordKey = WordKey(base, count: word.count)
      key = wordKey
      if let slot = cache.find(base, count: word.count, key: wordKey) {
        if Int(slot.safeIDs) >= result.idCount - firstID {
          target.update(from: cache.ids + Int(slot.ids), count: Int(slot.idCount))
          result.idCount += Int(slot.idCount)
        } else if let unigram {
          try settle(word, unigram, lineStart: lineStart, firstID: firstID, into: result)
        }
        return Int(slot.runs)
      }
    }
    if !isValidUTF8(word) { return nil }
    let runs = Words.count(in: word)
    var count: Int
    var safeIDs = Int32.max
    if unknownWordID >= 0 && word.starts(with: Words.unknown) {
      // A longer word goes on behind the symbol; where sums are rounded that is the library's.
      if word.count > Words.unknown.count && unigram != nil {
        try encodeWithLibrary(word, lineStart: lineStart, firstID: firstID, into: result)
        return runs
      }
      let ids = try model.encode(word)
      for (index, id) in ids.enumerated() { target[index] = id }
      count = ids.count
    } else if let unigram {
      (count, safeIDs) = unigram.bestPath(word, into: target)
    } else if let merges, word.count <= MergeWords.longestWord {
      count = merges.path(word, into: target)
    } else {
      let ids = try model.encode(word)
      for (index, id) in ids.enumerated() { target[index] = id }
      count = ids.count
    }
    if let key {
      remember(
        word, key, ids: UnsafeBufferPointer(start: target, count: count), runs: runs,
        safeIDs: safeIDs)
    }
    if let unigram, Int(safeIDs) < result.idCount - firstID {
      try settle(word, unigram, lineStart: lineStart, firstID: firstID, into: result)
    } else {
      result.idCount += count
    }
    return runs
  }

  private func remember(
    _ word: UnsafeBufferPointer<UInt8>, _ key: WordKey, ids: UnsafeBufferPointer<Int32>, runs: Int,
    safeIDs: Int32
  ) {
    if let slot = WordTable.slot(word, ids: ids, runs: runs, safeIDs: safeIDs) {
      if exchange != nil { batch.append(slot) }
      if table.insert(slot) == .done { return }
    } else if exchange != nil {
      batch.append(word, ids: ids, runs: runs, safeIDs: safeIDs)
    }
    store(word, key, ids: ids, runs: runs, safeIDs: safeIDs)
  }

  private func store(
    _ word: UnsafeBufferPointer<UInt8>, _ key: WordKey, ids: UnsafeBufferPointer<Int32>, runs: Int,
    safeIDs: Int32
  ) {
    // A table that is full of the words of an older text is of little use.
    if cache.insert(word, key: key, ids: ids, runs: runs, safeIDs: safeIDs) { table.forget() }
  }

  /// Remembers what another encoder has found.
  private func remember(_ batch: WordExchange.Batch) {
    let slots = batch.slots
    for (index, slot) in slots.enumerated() {
      // Each has its own line of memory: ask for it while others are dealt with.
      if index + 16 < slots.count { table.prefetch(slots[index + 16]) }
      if table.insert(slot) != .noPlace { continue }
      let answer = WordTable.Answer(slot.answer)
      slot.withWord { storeNew($0, ids: $1, runs: answer.runs, safeIDs: answer.safeIDs) }
    }
    batch.bytes.withUnsafeBufferPointer { bytes in
      batch.ids.withUnsafeBufferPointer { ids in
        guard let text = bytes.baseAddress, let firstID = ids.baseAddress else { return }
        var (byte, id) = (0, 0)
        for entry in batch.words {
          let word = UnsafeBufferPointer(start: text + byte, count: Int(entry.length))
          let wordIDs = UnsafeBufferPointer(start: firstID + id, count: Int(entry.idCount))
          byte += word.count
          id += wordIDs.count
          storeNew(word, ids: wordIDs, runs: Int(entry.runs), safeIDs: entry.safeIDs)
        }
      }
    }
  }

  private func storeNew(
    _ word: UnsafeBufferPointer<UInt8>, ids: UnsafeBufferPointer<Int32>, runs: Int, safeIDs: Int32
  ) {
    guard let text = word.baseAddress else { return }
    let key = WordKey(text, count: word.count)
    if cache.find(text, count: word.count, key: key) == nil {
      store(word, key, ids: ids, runs: runs, safeIDs: safeIDs)
    }
  }

  /// Appends the ids of a long word in little memory.
  ///
  /// - Returns: Its ``Words``; `nil` where that is left to the ways of shorter words, or if it is not
  ///   UTF-8.
  private func encodeLong(
    _ word: UnsafeBufferPointer<UInt8>, firstID: Int, into result: EncodedLines
  ) throws(TokenizerError) -> Int? {
    if unknownWordID >= 0 && word.starts(with: Words.unknown) { return nil }
    if let unigram, word.count > UnigramWords.longWord {
      let line = UnsafeBufferPointer(start: result.ids, count: result.idCount)[firstID...]
      // What the symbol adds to the sum is a matter of the library's version.
      if unknownWordID >= 0 && line.contains(unknownWordID) || !isValidUTF8(word) { return nil }
      // Somewhere in it two paths are close.
      let score = scoreOfLine(unigram, firstID: firstID, in: result)
      unigram.appendLong(word, after: score, to: result)
      return Words.count(in: word)
    }
    guard let merges, isValidUTF8(word) else { return nil }
    var long = LongMergeWords(pieces: merges.pieces)
    try long.append(word, to: result)
    return Words.count(in: word)
  }

  /// The score that the library has after the ids of the line so far.
  private func scoreOfLine(
    _ unigram: UnigramWords, firstID: Int, in result: EncodedLines
  ) -> Float {
    if scoredLine != firstID {
      unigram.beginLine()
      scoredLine = firstID
    }
    return unigram.accumulate(
      UnsafeBufferPointer(start: result.ids + firstID, count: result.idCount - firstID),
      byteOf: byteOf)
  }

  /// Appends the ids of a word whose best two paths are close.
  private func settle(
    _ word: UnsafeBufferPointer<UInt8>, _ unigram: UnigramWords,
    lineStart: UnsafePointer<UInt8>, firstID: Int, into result: EncodedLines
  ) throws(TokenizerError) {
    let line = UnsafeBufferPointer(start: result.ids + firstID, count: result.idCount - firstID)
    if unknownWordID >= 0 && line.contains(unknownWordID) {
      // What the symbol adds to the sum is a matter of the library's version.
      return try encodeWithLibrary(word, lineStart: lineStart, firstID: firstID, into: result)
    }
    let score = scoreOfLine(unigram, firstID: firstID, in: result)
    result.idCount += unigram.roundedPath(word, after: score, into: result.ids + result.idCount)
  }

  /// Appends the ids of a word as the library has them behind the line's beginning.
  ///
  /// No piece crosses a space, so what follows the word does not matter.
  private func encodeWithLibrary(
    _ word: UnsafeBufferPointer<UInt8>, lineStart: UnsafePointer<UInt8>, firstID: Int,
    into result: EncodedLines
  ) throws(TokenizerError) {
    guard let start = word.baseAddress else { return }
    let line = UnsafeBufferPointer(start: lineStart, count: start - lineStart + word.count)
    result.append(Array(try model.encode(line).dropFirst(result.idCount - firstID)))
  }
}
