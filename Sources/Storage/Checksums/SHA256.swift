import CProcessor
import Foundation

/// The SHA-256 checksum (FIPS 180-4), computed piece by piece.
///
/// Where the processor has instructions for it they are several times as fast as the rounds below.
package struct SHA256: Sendable {
  private let usesInstructions: Bool
  private static let hasInstructions = cp_has_sha() != 0

  private var state = SIMD8<UInt32>(
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19)
  private var pending = [UInt8](repeating: 0, count: 64)
  private var pendingCount = 0
  private var byteCount: UInt64 = 0

  /// - Parameter portable: Leaves the processor's instructions alone.
  package init(portable: Bool = false) {
    usesInstructions = Self.hasInstructions && !portable
  }

  /// Adds bytes to the message.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    byteCount &+= UInt64(bytes.count)
    var rest = bytes[...]
    if pendingCount > 0 {
      let taken = min(64 - pendingCount, rest.count)
      pending.replaceSubrange(pendingCount..<pendingCount + taken, with: rest.prefix(taken))
      pendingCount += taken
      rest = rest.dropFirst(taken)
      if pendingCount < 64 { return }
      pending.withUnsafeBytes { compress($0) }
      pendingCount = 0
    }
    let whole = rest.count & ~63
    compress(UnsafeRawBufferPointer(rebasing: rest.prefix(whole)))
    rest = rest.dropFirst(whole)
    pending.replaceSubrange(0..<rest.count, with: rest)
    pendingCount = rest.count
  }

  /// Adds bytes to the message.
  package mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// Ends the message; the value must not be updated afterwards.
  ///
  /// - Returns: 64 lower-case hexadecimal digits, as `sha256sum` prints them.
  package mutating func finalize() -> String {
    let bits = byteCount &* 8
    var tail: [UInt8] = [0x80]
    tail += [UInt8](repeating: 0, count: (119 - pendingCount) % 64)
    for shift in stride(from: 56, through: 0, by: -8) {
      tail.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift)))
    }
    update(tail)
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for word in 0..<8 {
      for shift in stride(from: 28, through: 0, by: -4) {
        text.append(digits[Int(state[word] >> UInt32(shift)) & 15])
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The checksum of bytes in memory.
  package static func hexDigest(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finalize()
  }

  /// The checksum of a whole file.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - progress: Told of bytes read.
  package static func hexDigest(
    ofFile path: String, progress: (Int) -> Void = { _ in }
  ) throws(StorageError) -> String {
    let descriptor = try Descriptor(reading: path)
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = try descriptor.read(into: &buffer)
      if count == 0 { return hash.finalize() }
      buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
      progress(count)
    }
  }

  /// Folds whole blocks of 64 bytes into the state.
  private mutating func compress(_ blocks: UnsafeRawBufferPointer) {
    guard let base = blocks.baseAddress, !blocks.isEmpty else { return }
    if usesInstructions {
      roundConstants.withUnsafeBufferPointer { constants in
        withUnsafeMutableBytes(of: &state) { state in
          cp_sha256(
            state.assumingMemoryBound(to: UInt32.self).baseAddress, base,
            UInt(blocks.count / 64), constants.baseAddress)
        }
      }
      return
    }
    let folded = roundConstants.withUnsafeBufferPointer { constants in
      withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
        guard let k = constants.baseAddress, let w = schedule.baseAddress else { return state }
        var state = state
        for offset in stride(from: 0, to: blocks.count, by: 64) {
          expand(base + offset, into: w)
          state = rounds(state, w, k)
        }
        return state
      }
    }
    state = folded
  }
}

/// The message schedule of one block: 64 words, each with nothing added yet.
private func expand(_ block: UnsafeRawPointer, into w: UnsafeMutablePointer<UInt32>) {
  var t = 0
  while t < 16 {
    w[t] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: 4 &* t, as: UInt32.self))
    t &+= 1
  }
  while t < 64 {
    let early = w[t &- 15]
    let late = w[t &- 2]
    let small0 = rotate(early, 7) ^ rotate(early, 18) ^ (early &>> 3)
    let small1 = rotate(late, 17) ^ rotate(late, 19) ^ (late &>> 10)
    w[t] = w[t &- 16] &+ small0 &+ w[t &- 7] &+ small1
    t &+= 1
  }
}

/// The 64 rounds over one block, eight at a time so that the names turn round by themselves.
private func rounds(
  _ state: SIMD8<UInt32>, _ w: UnsafePointer<UInt32>, _ k: UnsafePointer<UInt32>
) -> SIMD8<UInt32> {
  var a = state[0]
  var b = state[1]
  var c = state[2]
  var d = state[3]
  var e = state[4]
  var f = state[5]
  var g = state[6]
  var h = state[7]
  var t = 0
  while t < 64 {
    round(a, b, c, &d, e, f, g, &h, w[t] &+ k[t])
    round(h, a, b, &c, d, e, f, &g, w[t &+ 1] &+ k[t &+ 1])
    round(g, h, a, &b, c, d, e, &f, w[t &+ 2] &+ k[t &+ 2])
    round(f, g, h, &a, b, c, d, &e, w[t &+ 3] &+ k[t &+ 3])
    round(e, f, g, &h, a, b, c, &d, w[t &+ 4] &+ k[t &+ 4])
    round(d, e, f, &g, h, a, b, &c, w[t &+ 5] &+ k[t &+ 5])
    round(c, d, e, &f, g, h, a, &b, w[t &+ 6] &+ k[t &+ 6])
    round(b, c, d, &e, f, g, h, &a, w[t &+ 7] &+ k[t &+ 7])
    t &+= 8
  }
  return state &+ SIMD8(a, b, c, d, e, f, g, h)
}

// Inlined by force: a call per round, with two words passed by reference, is five times slower.
@inline(__always)
private func round(
  _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: inout UInt32,
  _ e: UInt32, _ f: UInt32, _ g: UInt32, _ h: inout UInt32, _ word: UInt32
) {
  let big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
  let choice = g ^ (e & (f ^ g))
  let first = h &+ big1 &+ choice &+ word
  let big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
  let majority = (a & b) | (c & (a | b))
  d = d &+ first
  h = first &+ big0 &+ majority
}

@inline(__always)
private func rotate(_ word: UInt32, _ bits: UInt32) -> UInt32 {
  (word &>> bits) | (word &<< (32 &- bits))
}

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
private let roundConstants: [UInt32] = [
  0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4,
  0xab1c_5ed5, 0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe,
  0x9bdc_06a7, 0xc19b_f174, 0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f,
  0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da, 0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7,
  0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967, 0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc,
  0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85, 0xa2bf_e8a1, 0xa81a_664b,
  0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070, 0x19a4_c116,
  0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
  0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7,
  0xc671_78f2,
]
