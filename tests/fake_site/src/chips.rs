//! Order chips and continuation items in their layouts.
//!
//! Invariant: in each layout the choices read `Latest`, `Popular` and `Oldest`, and nothing else on the page
//! does.

use serde_json::{Value, json};

use super::{
    channel::{Channel, ChipLayout, ContinuationLayout},
    tokens::Token,
    world::Order,
};

/// Returns the header of a grid, with the order chips.
pub(super) fn chips(channel: &Channel, selected: Order) -> Value {
    match channel.chips {
        ChipLayout::FilterBar => json!({"feedFilterChipBarRenderer": {
            "contents": orders(|order| json!({"chipCloudChipRenderer": {
                "text": {"simpleText": order.label()},
                "navigationEndpoint": reload(channel, order),
                "isSelected": order == selected,
            }})),
            "styleType": "FEED_FILTER_CHIP_BAR_STYLE_TYPE_CHANNEL_PAGE_GRID",
        }}),
        ChipLayout::ChipBar => json!({"chipBarViewModel": {
            "chips": orders(|order| {
                let command = reload(channel, order);
                chip(order.label(), order == selected, &command)
            }),
        }}),
        ChipLayout::Sheet => json!({"chipBarViewModel": {
            // The first chip has the selected order's name, but only opens the sheet.
            "chips": [
                chip(selected.label(), true, &json!({"showSheetCommand": {"panelLoadingStrategy": {
                    "inlineContent": {"sheetViewModel": {"content": {"listViewModel": {
                        "listItems": orders(|order| sheet_item(channel, order, order == selected)),
                    }}}},
                }}})),
                chip("Public", false, &reload(channel, Order::Latest)),
                chip("Members only", false, &reload(channel, Order::Latest)),
            ],
        }}),
    }
}

/// Returns the last entry of a list that has a continuation.
pub(super) fn continuation(channel: &Channel, token: &Token) -> Value {
    let command = command(token, None);
    match channel.continuation {
        ContinuationLayout::Endpoint => json!({"continuationItemRenderer": {
            "trigger": "CONTINUATION_TRIGGER_ON_ITEM_SHOWN",
            "continuationEndpoint": command,
        }}),
        ContinuationLayout::Executor => json!({"continuationItemRenderer": {
            "trigger": "CONTINUATION_TRIGGER_ON_ITEM_SHOWN",
            "continuationEndpoint": {"commandExecutorCommand": {"commands": [
                {"playlistVotingRefreshPopupCommand": {"command": {}}},
                command,
            ]}},
        }}),
        ContinuationLayout::ViewModel => json!({"continuationItemViewModel": {
            "continuationCommand": {"innertubeCommand": command},
        }}),
    }
}

/// Returns the ID of a grid, by which responses replace its contents.
pub(super) fn target(channel: &Channel) -> String {
    format!("6b039d52-0000-2e60-8436-{:012x}", channel.number)
}

fn orders(each: impl Fn(Order) -> Value) -> Value {
    Order::ALL.into_iter().map(each).collect()
}

fn chip(text: &str, selected: bool, command: &Value) -> Value {
    json!({"chipViewModel": {
        "text": text,
        "selected": selected,
        "displayType": "CHIP_VIEW_MODEL_DISPLAY_TYPE_UNSPECIFIED",
        "tapCommand": {"innertubeCommand": command},
        "accessibilityLabel": text,
    }})
}

fn sheet_item(channel: &Channel, order: Order, selected: bool) -> Value {
    json!({"listItemViewModel": {
        "title": {"content": order.label()},
        "isSelected": selected,
        "rendererContext": {"commandContext": {"onTap": {"innertubeCommand": reload(channel, order)}}},
    }})
}

fn reload(channel: &Channel, order: Order) -> Value {
    let token = Token { channel: channel.id.clone(), order, offset: 0, reload: true };
    command(&token, Some(&target(channel)))
}

fn command(token: &Token, target: Option<&str>) -> Value {
    let mut command = json!({
        "clickTrackingParams": "CCcQ4b4OGB8iEwii8pu55KmSAxWsaXoFHS3LBBo=",
        "commandMetadata": {"webCommandMetadata": {"sendPost": true, "apiUrl": "/youtubei/v1/browse"}},
        "continuationCommand": {"token": token.encode(), "request": "CONTINUATION_REQUEST_TYPE_BROWSE"},
    });
    if let Some(target) = target {
        command["continuationCommand"]["command"] = json!({"showReloadUiCommand": {"targetId": target}});
    }
    command
}
