import CommandSupport
import Testing

@Suite struct FormatTests {
  @Test func countsHaveSeparators() {
    let expected = [
      (0, "0"), (7, "7"), (999, "999"), (1_000, "1,000"), (159_658, "159,658"),
      (1_234_567, "1,234,567"), (-1_000, "-1,000"), (-12, "-12"),
      (Int.min, "-9,223,372,036,854,775,808"),
    ]
    for (value, text) in expected { #expect(Format.count(value) == text) }
  }

  @Test func decimalsAreFixed() {
    #expect(Format.decimal(1234.5, 2) == "1,234.50")
    #expect(Format.decimal(0.5, 0) == "0")
    #expect(Format.decimal(-0.25, 2) == "-0.25")
    #expect(Format.decimal(999.999, 1) == "1,000.0")
    #expect(Format.decimal(.infinity, 1) == "inf")
    #expect(Format.decimal(.nan, 1) == "nan")
  }

  @Test func bytesAreDecimal() {
    #expect(Format.bytes(0) == "0 B")
    #expect(Format.bytes(999) == "999 B")
    #expect(Format.bytes(4_120) == "4.1 kB")
    #expect(Format.bytes(117_527_565) == "118 MB")
    #expect(Format.bytes(1_792_209_805) == "1.8 GB")
    #expect(Format.bytes(999_990) == "1.0 MB")
  }

  @Test func durationsAreShort() {
    #expect(Format.duration(0) == "0s")
    #expect(Format.duration(59.4) == "59s")
    #expect(Format.duration(59.6) == "1m 00s")
    #expect(Format.duration(200) == "3m 20s")
    #expect(Format.duration(7_500) == "2h 05m")
    #expect(Format.duration(356_400) == "4d 3h")
    #expect(Format.duration(.infinity) == "?")
    #expect(Format.duration(.nan) == "?")
  }

  @Test func tablesAreAligned() {
    let table = Format.table([["split", "words"], ["train", "21,583,827"], ["test", "5"]])
    #expect(table == "split       words\ntrain  21,583,827\ntest            5")
    #expect(Format.table([]) == "")
  }
}
