import Foundation

/// Numbers as people read them.
package enum Format {
  /// `159,658`.
  package static func count(_ value: Int) -> String {
    var digits = Array(String(value.magnitude))
    var index = digits.count - 3
    while index > 0 {
      digits.insert(",", at: index)
      index -= 3
    }
    return (value < 0 ? "-" : "") + String(digits)
  }

  /// `1 line`, `2 lines`; `plural` is for nouns whose plural is not formed with an s.
  package static func count(_ value: Int, _ noun: String, _ plural: String? = nil) -> String {
    "\(count(value)) \(value == 1 ? noun : plural ?? noun + "s")"
  }

  /// A number with a fixed number of decimals and thousands separators.
  package static func decimal(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    let text = String(format: "%.\(decimals)f", abs(value))
    let parts = text.split(separator: ".")
    let sign = value < 0 ? "-" : ""
    return sign + count(Int(parts[0]) ?? 0) + (parts.count > 1 ? "." + parts[1] : "")
  }

  /// `2.09 %`.
  package static func share(_ part: Int, of whole: Int) -> String {
    "\(decimal(100 * Double(part) / Double(max(1, whole)), 2)) %"
  }

  /// `4.1 MB`, powers of 1,000.
  package static func bytes(_ value: Int) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"]
    var scaled = Double(value)
    var unit = 0
    while scaled >= 999.95, unit + 1 < units.count {
      scaled /= 1_000
      unit += 1
    }
    return unit == 0 ? "\(value) B" : "\(decimal(scaled, scaled < 100 ? 1 : 0)) \(units[unit])"
  }

  /// `35.7 M`, powers of 1,000.
  package static func short(_ value: Double) -> String {
    for (factor, unit) in [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")]
    where abs(value) >= factor {
      return decimal(value / factor, 1) + unit
    }
    return decimal(value, value == value.rounded() ? 0 : 1)
  }

  /// `8s`, `3m 20s`, `2h 05m`, `4d 3h`.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e10 else { return "?" }
    let total = Int(seconds.rounded())
    let (days, hours, minutes) = (total / 86_400, total / 3_600 % 24, total / 60 % 60)
    if days > 0 { return "\(days)d \(hours)h" }
    if hours > 0 { return "\(hours)h \(String(format: "%02d", minutes))m" }
    if minutes > 0 { return "\(minutes)m \(String(format: "%02d", total % 60))s" }
    return "\(total)s"
  }

  /// A table with aligned columns: the first to the left, the others to the right.
  package static func table(_ rows: [[String]]) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      let line = row.enumerated().map { column, cell in
        let pad = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + pad : pad + cell
      }.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
