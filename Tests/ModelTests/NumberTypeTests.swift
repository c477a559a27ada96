import Host
import Storage
import Tensor
import TestSupport
import Testing

import Model

struct NumberTypeTests {
  /// All 65,536 of them against the definition: sign, exponent of 5 bits, fraction of 10.
  @Test func halvesAreWidenedExactly() {
    for bits in UInt16.min...UInt16.max {
      let fraction = Double(bits & 0x3FF)
      let exponent = Int(bits >> 10 & 0x1F)
      let sign = bits >> 15 == 0 ? 1.0 : -1.0
      let found = NumberType.float(half: bits)
      if exponent == 0x1F {
        #expect(fraction == 0 ? found == Float(sign * .infinity) : found.isNaN)
      } else {
        let power = Double(sign: .plus, exponent: max(exponent, 1) - 25, significand: 1)
        let value = sign * (exponent == 0 ? fraction : 1_024 + fraction) * power
        #expect(Double(found) == value && found.sign == (sign < 0 ? .minus : .plus))
      }
    }
  }

  /// Every number of 16 bits is its own nearest; between two neighbours the even one is taken, and what
  /// is beyond the middle is rounded to the nearer.
  @Test(arguments: [NumberType.brain16, .half])
  func numbersAreNarrowedToTheNearest(type: NumberType) {
    func widened(_ bits: UInt16) -> Float {
      type == .half ? .init(NumberType.float(half: bits)) : Float(bitPattern: UInt32(bits) << 16)
    }
    let infinity: UInt16 = type == .half ? 0x7C00 : 0x7F80
    for bits in UInt16(0)..<0x8000 {
      let number = widened(bits)
      if number.isNaN {
        #expect(widened(type.narrowed(number)).isNaN && widened(type.narrowed(-number)).isNaN)
        continue
      }
      #expect(type.narrowed(number) == bits && type.narrowed(-number) == bits | 0x8000)
      guard bits < infinity - 1 else { continue }
      let middle = Float((Double(number) + Double(widened(bits + 1))) / 2)
      #expect(type.narrowed(middle) == bits + bits % 2)
      #expect(type.narrowed(middle.nextDown) == bits && type.narrowed(middle.nextUp) == bits + 1)
    }
    // The largest, and where infinity begins.
    let largest = widened(infinity - 1)
    let step = Double(largest) - Double(widened(infinity - 2))
    let end = Float(Double(largest) + step / 2)
    #expect(type.narrowed(end.nextDown) == infinity - 1 && type.narrowed(end) == infinity)
    #expect(type.narrowed(.greatestFiniteMagnitude) == infinity)
  }

  /// A file of 16-bit numbers in the alphabetical order of other writers.
  @Test(arguments: ["BF16", "F16"]) func narrowWeightsAreRead(type: String) throws {
    let config = Variant.all[0].config
    let slots = ParameterLayout(config).slots.sorted { $0.name < $1.name }
    var fields: [String] = []
    var data: [UInt8] = []
    for slot in slots {
      let begin = data.count
      for index in 0..<slot.count {
        // 1 + index / 8 in the first bits of the fraction.
        let bits =
          type == "F16" ? UInt16(0x3C00 | (index % 8) << 7) : UInt16(0x3F80 | (index % 8) << 4)
        data += [UInt8(bits & 0xFF), UInt8(bits >> 8)]
      }
      let shape = slot.shape.map(String.init).joined(separator: ",")
      fields.append(
        "\"\(slot.name)\":{\"dtype\":\"\(type)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(begin),\(data.count)]}")
    }
    let header = Array("{\(fields.joined(separator: ","))}".utf8)
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    try withTemporaryDirectory { directory in
      try AtomicFile.write(length + header + data, to: directory + "/" + ModelFiles.weightsName)
      let read = try ModelFiles.readWeights(config, directory: directory)
      for slot in slots {
        let expected = (0..<slot.count).map { 1 + Float($0 % 8) / 8 }
        #expect(read.view(slot).elements == expected, "\(slot.name)")
      }
    }
  }
}
