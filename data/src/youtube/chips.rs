//! The orders that a Videos tab can be asked for, of which *Popular* is wanted.
//!
//! Owns the three layouts they come in: `feedFilterChipBarRenderer`, a flat `chipBarViewModel`, and one whose
//! first chip opens a sheet with the orders while the others are filters. Invariant: an order is chosen by
//! its label, in English, and never by its place.

use super::{faults::SchemaDrift, node::Node};

/// Label of the order that is wanted.
const POPULAR: &str = "Popular";

/// What the bar above the videos offers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Orders {
    /// Asks for the first page of the most seen videos first. Small channels have no such order.
    pub popular: Option<String>,
    /// Labels of all that is offered, filters included.
    pub labels: Vec<String>,
}

/// Reads the orders from a `richGridRenderer`.
pub(super) fn read(grid: &Node<'_>) -> Result<Orders, SchemaDrift> {
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
            orders.popular = Some(token.ok_or_else(|| header.drift("Popular leads nowhere"))?);
        }
        orders.labels.push(label);
    }
    Ok(orders)
}

/// The way from a chip's command to the items of the sheet it opens.
const SHEET: [&str; 7] = [
    "showSheetCommand",
    "panelLoadingStrategy",
    "inlineContent",
    "sheetViewModel",
    "content",
    "listViewModel",
    "listItems",
];

fn sheet_items<'a>(sheet: &Node<'a>) -> Result<Vec<(String, Option<Node<'a>>)>, SchemaDrift> {
    let item = |item: Node<'a>| {
        let item = item.at(&["listItemViewModel"])?;
        let label = item.at(&["title"])?.rich_text().unwrap_or_default();
        Ok((label, item.find(&["rendererContext", "commandContext", "onTap", "innertubeCommand"])))
    };
    sheet.items()?.into_iter().map(item).collect()
}

/// Finds the token of a command, alone or among several that are executed together.
pub(super) fn token(command: &Node<'_>) -> Option<String> {
    let alone = command.text_at(&["continuationCommand", "token"]);
    if let Some(token) = alone {
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
        read(&Node::root(&grid))
    }

    fn command(token: &str) -> Value {
        json!({"continuationCommand": {"token": token}})
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
        let old = |label: &str| json!({"chipCloudChipRenderer": {"text": {"simpleText": label}, "navigationEndpoint": command(label)}});
        let bar = json!({"feedFilterChipBarRenderer": {"contents": [old("Latest"), old("Oldest"), old("Popular")]}});
        check(&bar, Some("Popular"), &["Latest", "Oldest", "Popular"]);

        let flat = |label: &str| json!({"chipViewModel": {"text": label, "tapCommand": {"innertubeCommand": command(label)}}});
        let bar = json!({"chipBarViewModel": {"chips": [flat("Latest"), flat("Popular"), flat("Oldest")]}});
        check(&bar, Some("Popular"), &["Latest", "Popular", "Oldest"]);

        let item = |label: &str| json!({"listItemViewModel": {"title": {"content": label}, "rendererContext": {"commandContext": {"onTap": {"innertubeCommand": {"commandExecutorCommand": {"commands": [{"openPopupAction": {}}, command(label)]}}}}}}});
        let items = json!([item("Latest"), item("Popular"), item("Oldest")]);
        let sheet = json!({"showSheetCommand": {"panelLoadingStrategy": {"inlineContent": {"sheetViewModel": {"content": {"listViewModel": {"listItems": items}}}}}}});
        let sort = json!({"chipViewModel": {"text": "Sort by", "tapCommand": {"innertubeCommand": sheet}}});
        let bar = json!({"chipBarViewModel": {"chips": [sort, flat("Members only"), flat("Public")]}});
        check(&bar, Some("Popular"), &["Latest", "Popular", "Oldest", "Members only", "Public"]);
    }

    #[test]
    fn no_popular_is_made_up() {
        let flat = |label: &str| json!({"chipViewModel": {"text": label, "tapCommand": {"innertubeCommand": command(label)}}});
        check(
            &json!({"chipBarViewModel": {"chips": [flat("Neueste"), flat("Beliebt")]}}),
            None,
            &["Neueste", "Beliebt"],
        );
        check(&json!({}), None, &[]);
        assert_eq!(read(&Node::root(&json!({}))), Ok(Orders::default()));
        let dead = json!({"chipBarViewModel": {"chips": [{"chipViewModel": {"text": "Popular"}}]}});
        assert_eq!(
            orders(&dead).unwrap_err().to_string(),
            "the layout of the answer has changed: header: Popular leads nowhere"
        );
    }
}
