/// An option, a flag or an argument without a name.
struct ArgumentInfo: Decodable {
  struct Name: Decodable {
    let kind: String
    let name: String
    var spelled: String { (kind == "long" ? "--" : "-") + name }
  }

  let kind: String
  let names: [Name]?
  let valueName: String?
  let abstract: String?
  let defaultValue: String?
  let allValues: [String]?
  let sectionTitle: String?
  let shouldDisplay: Bool
}
