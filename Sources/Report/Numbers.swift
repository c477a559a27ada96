import Foundation

/// Formats numbers for the page.
enum Numbers {
  /// `159,658`.
  static func count(_ value: Int) -> String {
    var digits = Array(String(value))
    for place in stride(from: digits.count - 3, to: value < 0 ? 1 : 0, by: -3) {
      digits.insert(",", at: place)
    }
    return String(digits)
  }

  /// `1 layer`, `2 layers`.
  static func count(_ value: Int, _ noun: String) -> String {
    "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
  }

  /// A fixed number of decimals; scientific notation for huge numbers.
  static func decimal(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, abs(value) < 1e9 else { return String(format: "%.3g", value) }
    let text = String(format: "%.\(decimals)f", value)
    let parts = text.split(separator: ".")
    let whole = count(Int(parts[0]) ?? 0)
    return (value < 0 && !whole.hasPrefix("-") ? "-" : "") + whole
      + (parts.count > 1 ? "." + parts[1] : "")
  }

  /// `35.7 M`.
  static func short(_ value: Double) -> String {
    for (factor, unit) in [
      (1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"),
    ]
    where abs(value) >= factor {
      return decimal(value / factor, 1) + unit
    }
    return decimal(value, value == value.rounded() ? 0 : 1)
  }

  /// `2 h 05 min`.
  static func duration(_ seconds: Double) -> String {
    let total = Int(min(max(0, seconds), 1e12).rounded())
    let (days, hours, minutes) = (total / 86_400, total / 3_600 % 24, total / 60 % 60)
    if days > 0 { return "\(days) d \(hours) h" }
    if hours > 0 { return "\(hours) h \(String(format: "%02d", minutes)) min" }
    if minutes > 0 { return "\(minutes) min \(String(format: "%02d", total % 60)) s" }
    return "\(total) s"
  }
}
