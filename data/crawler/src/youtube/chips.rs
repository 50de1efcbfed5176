//! Parses the orders that a Videos tab offers, to find *Popular*.
//!
//! There are three layouts: `feedFilterChipBarRenderer`, a flat `chipBarViewModel`, and one whose first chip opens a
//! sheet with the orders while the others are filters. Invariant: an order is chosen by its English label, never by
//! its position.

use super::{faults::SchemaDrift, node::JsonNode};

const POPULAR: &str = "Popular";

/// The orders in the chip bar above the videos.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Orders {
    /// Token of the most popular videos. Small channels do not offer this order.
    pub popular: Option<String>,
    /// Labels of all chips, including filters.
    pub labels: Vec<String>,
}

/// Parses the orders of a `richGridRenderer`.
pub(super) fn read(grid: &JsonNode<'_>) -> Result<Orders, SchemaDrift> {
    let Some(header) = grid.find(&["header"]) else { return Ok(Orders::default()) };
    let mut choices = Vec::new();
    for chip in header.items_at(&["feedFilterChipBarRenderer", "contents"]) {
        let chip = chip.at(&["chipCloudChipRenderer"])?;
        let label = chip.at(&["text"])?.rich_text().unwrap_or_default();
        choices.push((label, chip.find(&["navigationEndpoint"])));
    }
    for chip in header.items_at(&["chipBarViewModel", "chips"]) {
        let chip = chip.at(&["chipViewModel"])?;
        let command = chip.find(&["tapCommand", "innertubeCommand"]);
        match command.as_ref().and_then(|command| command.find(&SHEET)) {
            Some(sheet) => choices.extend(sheet_items(&sheet)?),
            None => choices.push((chip.at(&["text"])?.text()?.to_owned(), command)),
        }
    }
    let mut orders = Orders::default();
    for (label, command) in choices {
        if label.trim() == POPULAR && orders.popular.is_none() {
            let token = command.as_ref().and_then(token);
            orders.popular = Some(token.ok_or_else(|| header.drift("Popular has no token"))?);
        }
        orders.labels.push(label);
    }
    Ok(orders)
}

/// Path from a chip's command to the items of the sheet that it opens.
const SHEET: [&str; 7] = [
    "showSheetCommand",
    "panelLoadingStrategy",
    "inlineContent",
    "sheetViewModel",
    "content",
    "listViewModel",
    "listItems",
];

fn sheet_items<'a>(sheet: &JsonNode<'a>) -> Result<Vec<(String, Option<JsonNode<'a>>)>, SchemaDrift> {
    let item = |item: JsonNode<'a>| {
        let item = item.at(&["listItemViewModel"])?;
        let label = item.at(&["title"])?.rich_text().unwrap_or_default();
        Ok((label, item.find(&["rendererContext", "commandContext", "onTap", "innertubeCommand"])))
    };
    sheet.items()?.into_iter().map(item).collect()
}

/// Finds the token of a command, or of the first one in a list of commands.
pub(super) fn token(command: &JsonNode<'_>) -> Option<String> {
    if let Some(token) = command.text_at(&["continuationCommand", "token"]) {
        return Some(token.to_owned());
    }
    command.items_at(&["commandExecutorCommand", "commands"]).iter().find_map(token)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn orders(header: &Value) -> Result<Orders, SchemaDrift> {
        let grid = json!({"header": header});
        read(&JsonNode::root(&grid))
    }

    fn command(token: &str) -> Value {
        json!({"continuationCommand": {"token": token}})
    }

    fn old_bar(labels: &[&str]) -> Value {
        let chip = |label: &&str| {
            let text = json!({"simpleText": label});
            json!({"chipCloudChipRenderer": {"text": text, "navigationEndpoint": command(label)}})
        };
        json!({"feedFilterChipBarRenderer": {"contents": labels.iter().map(chip).collect::<Vec<_>>()}})
    }

    fn chip(label: &str, command: &Value) -> Value {
        json!({"chipViewModel": {"text": label, "tapCommand": {"innertubeCommand": command}}})
    }

    fn bar(chips: &[Value]) -> Value {
        json!({"chipBarViewModel": {"chips": chips}})
    }

    /// The command that opens a sheet with an item of each label.
    fn sheet(labels: &[&str]) -> Value {
        let item = |label: &&str| {
            let several =
                json!({"commandExecutorCommand": {"commands": [{"openPopupAction": {}}, command(label)]}});
            let context = json!({"commandContext": {"onTap": {"innertubeCommand": several}}});
            json!({"listItemViewModel": {"title": {"content": label}, "rendererContext": context}})
        };
        let items: Vec<Value> = labels.iter().map(item).collect();
        SHEET.iter().rev().fold(json!(items), |inner, key| json!({*key: inner}))
    }

    fn check(header: &Value, popular: Option<&str>, labels: &[&str]) {
        let expected = Orders {
            popular: popular.map(str::to_owned),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        };
        assert_eq!(orders(header), Ok(expected));
    }

    #[test]
    fn popular_is_found_by_its_label_in_every_layout() {
        check(&old_bar(&["Latest", "Oldest", "Popular"]), Some("Popular"), &["Latest", "Oldest", "Popular"]);
        let flat = ["Latest", "Popular", "Oldest"].map(|label| chip(label, &command(label)));
        check(&bar(&flat), Some("Popular"), &["Latest", "Popular", "Oldest"]);
        let sort = chip("Sort by", &sheet(&["Latest", "Popular", "Oldest"]));
        let filters = ["Members only", "Public"].map(|label| chip(label, &command(label)));
        let labels = ["Latest", "Popular", "Oldest", "Members only", "Public"];
        check(&bar(&[&[sort][..], &filters].concat()), Some("Popular"), &labels);
    }

    #[test]
    fn missing_popular_is_none_and_one_without_a_token_is_an_error() {
        let german = ["Neueste", "Beliebt"].map(|label| chip(label, &command(label)));
        check(&bar(&german), None, &["Neueste", "Beliebt"]);
        check(&json!({}), None, &[]);
        assert_eq!(read(&JsonNode::root(&json!({}))), Ok(Orders::default()));
        let drift = orders(&bar(&[chip("Popular", &json!({}))])).unwrap_err();
        assert_eq!((drift.path.as_str(), drift.problem.as_str()), ("header", "Popular has no token"));
    }
}
