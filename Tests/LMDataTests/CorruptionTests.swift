import Foundation
import LMData
import Storage
import TestSupport
import Testing

/// Whatever happens to the bytes of a data set is found and named.
@Suite struct DataSetCorruptionTests {
  private func makeSet(_ folder: TemporaryFolder) throws -> String {
    let directory = folder.path + "/set"
    try writeDataSet(
      [makeSentences(makeLengths(40, longest: 9)), makeSentences(makeLengths(20))], to: directory)
    return directory
  }

  @Test(arguments: ["manifest.json", "SHA256SUMS", "tokenizer.model"])
  func everyFlippedAndCutByteIsFound(file: String) throws {
    let folder = try TemporaryFolder()
    let directory = try makeSet(folder)
    let path = directory + "/" + file
    let bytes = try Files.contents(of: path)
    for position in bytes.indices {
      for flip: UInt8 in [0x01, 0x08, 0x20, 0x80] {
        var damaged = bytes
        damaged[position] ^= flip
        try damaged.write(plainlyTo: path)
        let error = #expect(throws: DataSetError.self, "byte \(position) ^ \(flip)") {
          try DataSet(directory: directory)
        }
        #expect(error?.description.contains(directory) == true)
      }
      try Array(bytes[..<position]).write(plainlyTo: path)
      #expect(throws: DataSetError.self, "\(position) bytes") { try DataSet(directory: directory) }
    }
    try bytes.write(plainlyTo: path)
    try DataSet(directory: directory).verify()
  }

  @Test func everyFlippedByteOfAShardIsFoundByVerify() throws {
    let folder = try TemporaryFolder()
    let directory = try makeSet(folder)
    let path = directory + "/train-1.zst"
    let bytes = try Files.contents(of: path)
    for position in bytes.indices {
      var damaged = bytes
      damaged[position] ^= 1 << UInt8(position % 8)
      try damaged.write(plainlyTo: path)
      let error = #expect(throws: ShardError.self, "byte \(position)") {
        try DataSet(directory: directory).verify()
      }
      #expect(error?.description.contains(path) == true)
    }
  }

  @Test func aShardCutAtAFrameBoundaryIsFound() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/shard.zst"
    let info = try writeShard(
      makeSentences(Array(repeating: 300, count: 6_000), vocabulary: 5), to: path)
    let bytes = try Files.contents(of: path)
    let frames = try ShardReader(path: path, info: info, idBytes: 2).frameCount
    #expect(frames >= 3)
    // Entries of 8 bytes, compressed size first, before the 9 bytes that end the file.
    let table = bytes.count - 9 - 8 * frames
    var boundary = 0
    for frame in 0...frames {
      for end in [boundary, boundary + 8].filter({ $0 < bytes.count }) {
        try Array(bytes[..<end]).write(plainlyTo: path)
        var short = info
        for size in [info.compressedBytes, end] {
          short.compressedBytes = size
          let error = #expect(throws: ShardError.self, "\(frame) frames") {
            try ShardReader(path: path, info: short, idBytes: 2).verify(eos: eos)
          }
          #expect(error?.description.contains(path) == true)
        }
      }
      if frame < frames {
        let entry = bytes[(table + 8 * frame)..<(table + 8 * frame + 4)]
        boundary += entry.reversed().reduce(0) { $0 << 8 | Int($1) }
      }
    }
    // The frames end where the seek table begins, 8 bytes of its header before the entries.
    #expect(boundary == table - 8)
  }
}
