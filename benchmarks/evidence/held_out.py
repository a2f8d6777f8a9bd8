"""Documents that the code was not tuned on: `held_out()`. Written kind by kind, not piece by piece.

The corpus changes the writing of what locales have in common. Here each kind is its own: source of a page,
statements with negatives in brackets, eras and calendars, numbers in the words of a country, thermal paper.
A document is one text in which :func:`mark` stands around what a model would give for it.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from benchmarks.evidence.corpus import Document, Place, Writer

Json: TypeAlias = Any
Write: TypeAlias = Callable[[random.Random], str]

_MARKED: Final = re.compile("\ue000(.*?)\ue001(.*?)\ue001(.*?)\ue002", re.DOTALL)
_STATES: Final = ("approved", "rejected", "pending_review")
_SCHEMA: Final = {"type": "object", "properties": {"state": {"enum": list(_STATES)}}}
EACH: Final = 3
"""Documents of each kind."""


def mark(path: str, value: Json, written: str | None = None, *, place: str = "here") -> str:
    """Return what is written, with what a model gives for it; `place` may be `inferred` or `nowhere`."""
    shown = str(value) if written is None else written
    return f"\ue000{place} {path}\ue001{json.dumps(value, ensure_ascii=False)}\ue001{shown}\ue002"


def know(path: str, value: Json, place: str) -> str:
    """Return the mark of a value that is not written: it follows, or it stands nowhere."""
    return mark(path, value, "", place=place)


def read(name: str, text: str) -> Document:
    """Take the marks out of a text, and keep where each stood."""
    out = Writer(random.Random(name), "plain")
    at = 0
    for found in _MARKED.finditer(text):
        out.say(text[at : found.start()])
        at = found.end()
        place, _, pointer = found[1].partition(" ")
        path: Place = tuple(int(part) if part.isdecimal() else part for part in pointer.split("/"))
        if place == "here":
            out.put(path, json.loads(found[2]), found[3])
        else:
            out.know(path, json.loads(found[2]), "inferred" if place == "inferred" else None)
    out.say(text[at:])
    return Document(name, out.text, out.value, _SCHEMA, out.places)


def random_day(chance: random.Random) -> tuple[int, int, int]:
    """Return a date that no other order of its figures can be."""
    return chance.randint(2021, 2026), chance.randint(1, 12), chance.randint(13, 28)


def iso(day: tuple[int, int, int]) -> str:
    """Return a date as a model gives it."""
    return f"{day[0]}-{day[1]:02}-{day[2]:02}"


def grouped(cents: int, group: str, point: str) -> str:
    """Return cents as an amount, by its marks for thousands and the point."""
    return f"{cents // 100:,}".replace(",", group) + f"{point}{cents % 100:02}"


def _cents(chance: random.Random, most: int = 900_000) -> int:
    return chance.randint(101_01, most)


def digits(text: str, zero: str) -> str:
    """Return a text with the digits of another script."""
    return "".join(chr(ord(zero) + int(one)) if one in "0123456789" else one for one in text)


_EN: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_LONG: Final = "January February March April May June July August September October November December".split()
_DE: Final = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()
_ES: Final = (
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()
)
_FR: Final = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()
_RU: Final = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()
_AR: Final = "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر".split()
_TH: Final = "ม.ค. ก.พ. มี.ค. เม.ย. พ.ค. มิ.ย. ก.ค. ส.ค. ก.ย. ต.ค. พ.ย. ธ.ค.".split()
_HI: Final = "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर".split()


def _swiss_quote(chance: random.Random) -> str:
    day, prices = random_day(chance), [_cents(chance) for _ in range(3)]
    rows = "".join(
        f"| {place + 1} | {mark(f'items/{place}/name', name)} | "
        f"{mark(f'items/{place}/count', count)} | "
        f"{mark(f'items/{place}/price', price / 100, grouped(price, chr(39), '.'))} |\n"
        for place, (name, count, price) in enumerate(
            zip(chance.sample(_GOODS, 3), (chance.randint(2, 9) for _ in range(3)), prices, strict=True)
        )
    )
    total = sum(prices)
    return (
        f"# Offerte {mark('number', f'OF-{chance.randint(1000, 9999)}-{day[0] % 100}')}\n\n"
        f"Zürich, den {mark('issued', iso(day), f'{day[2]}. {_DE[day[1] - 1]} {day[0]}')}\n"
        f"**Kundin:** {mark('customer', 'Käser & Söhne AG', '*Käser* & *Söhne* AG')}\n\n"
        f"| Pos | Artikel | Menge | CHF |\n|---|---|---|---|\n{rows}\n"
        f"Summe: {mark('currency', 'CHF')} {mark('total', total / 100, grouped(total, '’', '.'))}\n"
        f"{know('language', 'German', 'inferred')}{know('rebate', 17.135, 'nowhere')}"
    )


_GOODS: Final = ("Lindenholzplatte", "Schraube M8", "Dübel 6×40", "Leim D3", "Kantenband", "Beize, nussbraun")


def _receipt(chance: random.Random) -> str:
    day, hour, minute = random_day(chance), chance.randint(13, 22), chance.randint(10, 59)
    paid, back = chance.randint(2_000, 9_000), chance.randint(100, 999)
    shown = f"{day[1]:02}/{day[2]:02}/{day[0] % 100} {hour - 12:02}:{minute}PM"
    return (
        f"   {mark('shop', 'Harbor Street Grocery', 'HARBOR ST. GROCERY')}\n"
        f"   STORE #{mark('store', chance.randint(100, 999))}  REG 04\n"
        f"{mark('at', f'{iso(day)}T{hour}:{minute}', shown)}\n"
        f"{mark('lines/0/name', 'Organic bananas', 'ORG BANANAS')}      {paid / 100 - 1:.2f} F\n"
        f"{mark('lines/1/name', 'Bottle return', 'BOTTLE RETURN')}    "
        f"{mark('lines/1/amount', -back / 100, f'{back / 100:.2f}-')}\n"
        f"TOTAL           {mark('total', paid / 100, f'${paid / 100:.2f}')}\n"
        f"VISA ************{mark('card', f'{chance.randint(1000, 9999)}')}\n"
        f"{know('cashier', 'Wilhelmina Prott', 'nowhere')}"
    )


def _gst_invoice(chance: random.Random) -> str:
    day, rupees = random_day(chance), chance.randint(1_000_000, 98_765_432)
    tail, head = f"{rupees % 1000:03}", str(rupees // 1000)
    pairs = [head[max(at - 2, 0) : at] for at in range(len(head), 0, -2)][::-1]
    lakhs = ",".join([*pairs, tail])
    shown = f"{day[2]} {_HI[day[1] - 1]} {day[0]}"
    return (
        f"कर चालान / TAX INVOICE\nGSTIN: {mark('gstin', f'27AAPFU{chance.randint(1000, 9999)}F1ZV')}\n"
        f"दिनांक: {mark('issued', iso(day), digits(shown, '०'))}\n"
        f"ग्राहक: {mark('customer', 'श्री अनिल कुमार वर्मा', 'श्री अनिल कुमार वर्मा')}\n"
        f"Due: {mark('due', iso(day), f'{day[2]}-{_EN[day[1] - 1]}-{day[0] % 100}')}\n"
        f"कुल: {mark('currency', 'INR', '₹')}{mark('total', rupees, lakhs + '/-')}\n"
        f"{know('transporter', 'Blue Dart Zeta', 'nowhere')}"
    )


def _japanese(chance: random.Random) -> str:
    day, yen, tens = random_day(chance), chance.randint(10_000, 9_999_999), chance.randint(12, 987)
    wide = "".join(chr(ord(one) + 0xFEE0) for one in f"{yen:,}")
    return (
        f"請求書\n{mark('customer', '株式会社青空商事')}　御中\n"
        f"発行日：{mark('issued', iso(day), f'令和{day[0] - 2018}年{day[1]}月{day[2]}日')}\n"
        f"ご請求金額　￥{mark('total', yen, wide)}－（税込）\n"
        f"予算：{mark('budget', tens * 10_000, f'{tens}万円')}\n"
        f"担当：{mark('contact', chance.choice(('山田 太郎', '佐々木 陽子', '髙橋 健')))}　"
        f"電話 {mark('phone', '03-5555-0142', '０３（５５５５）０１４２')}\n"
        f"{know('branch', '札幌北支店', 'nowhere')}"
    )


def _arabic(chance: random.Random) -> str:
    day, riyals = random_day(chance), _cents(chance)
    date = digits(f"{day[2]} {_AR[day[1] - 1]} {day[0]}", "٠")
    return (
        f"عقد رقم {mark('number', f'{chance.randint(1000, 9999)}/ع', None)}\n"
        f"أُبرم هذا العقد في مدينة {mark('city', chance.choice(('الرياض', 'جدة', 'الدمام')))} بتاريخ "
        f"{mark('signed', iso(day), date)}م\n"
        f"الطرف الأول: السيد {mark('first', 'محمد عبد الله', 'مُحَمَّد عَبد اللـه')}، "
        f"والطرف الثاني: {mark('second', 'مؤسسة الأفق', 'مؤسّسة الأُفق')}.\n"
        f"القيمة: {mark('value', riyals / 100, digits(grouped(riyals, '٬', '٫'), '٠'))} "
        f"{mark('currency', 'SAR', 'ريال')}\n{know('witness', 'سالم الغامدي', 'nowhere')}"
    )


def _hebrew(chance: random.Random) -> str:
    day, shekels = random_day(chance), _cents(chance, 99_999)
    mark_of_right = "\u200f"
    return (
        f"לכבוד {mark('customer', 'חברת אלון בעמ', 'חברת אלון בע״מ')}{mark_of_right}\n"
        f"הנדון: חשבון מס׳ {mark('number', chance.randint(10_000, 99_999))}\n"
        f"תאריך: {mark_of_right}{mark('issued', iso(day), f'{day[2]}.{day[1]}.{day[0]}')}\n"
        f"סה״כ לתשלום: {mark_of_right}{mark('total', shekels / 100, grouped(shekels, ',', '.'))} "
        f"{mark('currency', 'ILS', '₪')}\nחתום: {mark('signed_by', 'דנה כהן', 'ד״ר דָּנָה כֹּהֵן')}\n"
        f"{know('fax', '03-7700000', 'nowhere')}"
    )


def _web_page(chance: random.Random) -> str:
    day, euros = random_day(chance), _cents(chance)
    return (
        f'<article class="offer">\n<h1>{mark("title", "Fish & Chips – Große Portion", "Fish &amp; Chips &ndash; Gro&szlig;e Portion")}</h1>\n'
        f"<p>by <b>{mark('seller', 'Müller Lebensmittel GmbH', 'M&uuml;ller</b> Lebensmittel GmbH')}, "
        f'<time datetime="{mark("published", iso(day))}">{day[2]}.{day[1]}.</time></p>\n'
        f"<span>&euro;&nbsp;{mark('price', euros / 100, grouped(euros, '.', ','))}</span> "
        f"<em>{mark('rating', 4.5, '4,5')}</em> (<a href='#r'>{mark('reviews', 1208, '1.208')}</a>)\n"
        f"<meta name='sku' content='{mark('sku', f'FC-{chance.randint(100, 999)}')}'>\n</article>\n"
        f"{know('brand', 'Seawolf Prime', 'nowhere')}"
    )


def _report(chance: random.Random) -> str:
    tenths, billions, percent = chance.randint(11, 97), chance.randint(11, 97), chance.randint(11, 495)
    year, staff = chance.randint(2019, 2026), chance.randint(2, 9)
    return (
        f"## {mark('company', 'Northwind Energy plc', '**Northwind** Energy plc')}: FY{year % 100}\n\n"
        f"Revenue rose to {mark('revenue', billions * 100_000_000, f'£{billions / 10}bn')} from "
        f"£{billions / 10 - 0.1:.1f}bn, while costs were {mark('costs', tenths * 100_000, f'{tenths / 10}m')} "
        f"higher. The margin was {mark('margin_percent', percent / 10, f'{percent / 10:g}%')}; "
        f"[{mark('chair', 'Ama Owusu-Ansah')}](https://example.org/ama) called it *{mark('quote', 'a year to forget', 'a&nbsp;year to forget')}*.\n"
        f"Staff: roughly {mark('staff', staff * 1000, f'{staff},000')}\n"
        f"{know('auditor', 'Grimble & Stokes', 'nowhere')}{know('sentiment', 'negative', 'inferred')}"
    )


def _table(chance: random.Random) -> str:
    rows = []
    for place in range(4):
        day, amount = random_day(chance), _cents(chance)
        said = chance.choice(('Er sagte "ja"', "Miete; Juni", "Zahlung, 2. Rate"))
        rows.append(
            f"{mark(f'rows/{place}/date', iso(day), f'{day[2]:02}.{day[1]:02}.{day[0] % 100}')};"
            f'"{mark(f"rows/{place}/text", said, said.replace(chr(34), chr(34) * 2))}";'
            f"{mark(f'rows/{place}/amount', -amount / 100, '-' + grouped(amount, '', ','))};EUR\n"
        )
    return (
        f"Datum;Text;Betrag;Währung\n{''.join(rows)}"
        f"{know('count', 4, 'inferred')}{know('bank', 'Sparkasse Quickborn', 'nowhere')}"
    )


def _log(chance: random.Random) -> str:
    lines = []
    for place in range(4):
        day, took = random_day(chance), chance.randint(3, 900)
        user = chance.choice(("renée", "jürgen", "zoë"))
        lines.append(
            f'{{"ts":"{mark(f"events/{place}/at", f"{iso(day)}T04:05:06Z", f"{iso(day)}T04:05:06.000Z")}",'
            f'"user":"{mark(f"events/{place}/user", user, json.dumps(user)[1:-1])}",'
            f'"ms":{mark(f"events/{place}/ms", took)},"path":'
            f'"{mark(f"events/{place}/path", f"/v1/{place}/items", f"{chr(92)}/v1{chr(92)}/{place}{chr(92)}/items")}"}}\n'
        )
    return f"{''.join(lines)}{know('host', 'edge-99.example', 'nowhere')}"


def _thread(chance: random.Random) -> str:
    day, hour, minute = random_day(chance), chance.randint(1, 11), chance.randint(10, 59)
    shown = f"{_EN[day[1] - 1]} {day[2]}, {day[0]} at {hour}:{minute} PM"
    return (
        f"Yes, agreed. {mark('answer_by', 'Priya')}\n\n"
        f"On {mark('sent', f'{iso(day)}T{hour + 12}:{minute}', shown)}, "
        f"{mark('asked_by', 'Tomás Ó Briain', 'Ó Briain, Tomás')} <{mark('address', 'tomas@example.org')}> wrote:\n"
        f"> Could you confirm that {mark('project', 'the Lower Quay renewal project', f'the Lower{chr(10)}> Quay renewal{chr(10)}> project')} is on, "
        f"with a budget\n> of {mark('budget', 45_000, '45k')} and a start in the week of "
        f"{mark('starts', iso(day), f'{_LONG[day[1] - 1]} {day[2]}, {day[0]}')}?\n"
        f"{know('approver', 'Ingeborg Vance', 'nowhere')}"
    )


def _scan(chance: random.Random) -> str:
    day = random_day(chance)
    return (
        f"ANNUAL REVIEW                                     page 3\n\nThe {mark('office', 'Office of Financial Affairs', f'Oﬃce of Finan-{chr(10)}cial Aﬀairs')} "
        f"of the Dis-\ntrict, under {mark('head', 'Margaret Quartermaster', f'Margaret Quarter-{chr(10)}{chr(10)}ANNUAL REVIEW      page 4{chr(10)}{chr(10)}master')}, "
        f"signed on {mark('signed', iso(day), f'{day[2]} {_LONG[day[1] - 1]} {day[0]}')}\n"
        f"a grant of {mark('grant', 12_500, 'USD 12 500.00')} for the ﬁ\u00adnal phase "
        f"({mark('reference', f'DFA/{day[0]}/0{chance.randint(10, 99)}')}).\n"
        f"{know('archivist', 'Odalys Brandt', 'nowhere')}"
    )


def _laboratory(chance: random.Random) -> str:
    day, sugar, cold = random_day(chance), chance.randint(31, 99), chance.randint(1, 9)
    return (
        f"Patient: {mark('patient', 'Åsa Lindqvist', 'LINDQVIST, ÅSA')}      Prov: "
        f"{mark('taken', iso(day), f'{day[0]}{day[1]:02}{day[2]:02}')}\n"
        f"P-Glukos        {mark('results/glucose', sugar / 10, f'{sugar / 10}'.replace('.', ','))}  mmol/L   H\n"
        f"B-Leukocyter    {mark('results/leukocytes', 5200, '5,2×10³')}  /µL\n"
        f"S-CRP           < {mark('results/crp', 4)} mg/L\n"
        f"Temp. transport {mark('results/temperature', -cold - 0.5, f'−{cold},5')} °C\n"
        f"Status: {mark('state', 'pending_review', 'pending review')}\n{know('ward', 'Ward 77 Nord', 'nowhere')}"
    )


def _cv(chance: random.Random) -> str:
    month, year = chance.randint(1, 12), chance.randint(2001, 2020)
    return (
        f"{mark('name', 'Jürgen Groß', 'JÜRGEN GROSS')}\n"
        f"{mark('street', 'Lange Straße 12', 'Lange Str. 12')}, {mark('city', 'Köln')}\n"
        f"Mobil {mark('phone', '+491725550142', '+49 (0)172 / 555 01 42')} · {mark('mail', 'j.gross@example.org', 'j.gross (at) example.org')}\n\n"
        f"{mark('jobs/0/from', f'{year}-{month:02}', f'{month:02}/{year}')} – heute\n  "
        f"{mark('jobs/0/title', 'Entwicklungsleiter')}, {mark('jobs/0/employer', 'Elbe Robotik GmbH')}\n"
        f"{mark('jobs/1/from', f'{year - 5}-09', f'Sept. {year - 5}')} – {month:02}/{year}\n  "
        f"{mark('jobs/1/title', 'Ingenieur')}, {mark('jobs/1/employer', 'Elbe Robotik GmbH')}\n"
        f"{know('nationality', 'German', 'nowhere')}"
    )


def _subtitles(chance: random.Random) -> str:
    boats, dozen = chance.choice((("twenty-five", 25), ("forty", 40), ("a hundred and ten", 110))), 12
    return (
        f"1\n00:01:02,500 --> 00:01:05,000\n"
        f"{mark('speaker', 'Captain Ives', 'CAPTAIN IVES')}: We had {mark('boats', boats[1], boats[0])} boats\n\n"
        f"2\n00:01:05,100 --> {mark('until', '00:01:09', '00:01:09,900')}\n"
        f"and {mark('crew', dozen, 'a dozen')} men on {mark('ship', 'the Merry Widow', f'the Merry{chr(10)}Widow')}.\n\n"
        f"3\n00:01:10,000 --> 00:01:12,000\n[{mark('sound', 'bell rings')}]\n"
        f"{know('director', 'Lev Arkin', 'nowhere')}"
    )


def _chinese(chance: random.Random) -> str:
    day, tens = random_day(chance), chance.randint(125, 995)
    said = "".join("〇一二三四五六七八九"[int(one)] for one in str(day[0]))
    return (
        f"关于{mark('subject', '南山区旧城改造项目')}的通知\n"
        f"经{mark('office', '深圳市住房和建设局')}批准，总投资{mark('budget', tens * 1000, f'{tens / 10}万元')}，"
        f"首期支付人民币{mark('first', 12_300, '壹万贰仟叁佰元整')}。\n"
        f"联系人：{mark('contact', chance.choice(('王小明', '李静', '欧阳丽')))}（{mark('phone', '0755-55550142')}）\n"
        f"{mark('issued', iso(day), f'{said}年{_han(day[1])}月{_han(day[2])}日')}\n{know('bidder', '中远第九工程局', 'nowhere')}"
    )


def _han(number: int) -> str:
    tens, ones = divmod(number, 10)
    return ("" if not tens else ("" if tens == 1 else "一二三四五六七八九"[tens - 1]) + "十") + (
        "" if not ones else "一二三四五六七八九"[ones - 1]
    )


def _russian(chance: random.Random) -> str:
    day, roubles = random_day(chance), _cents(chance)
    return (
        f"АКТ № {mark('number', chance.randint(100, 999))} от «{mark('issued', iso(day), f'{day[2]}» {_RU[day[1] - 1]} {day[0]}')} г.\n"
        f"{mark('seller', 'ООО «Ромашка»')}, в лице директора {mark('director', 'Иван Петров', 'Ивана Петрова')}, "
        f"и {mark('buyer', 'АО Берёзка', 'АО «Березка»')}\n"
        f"Сумма: {mark('total', roubles / 100, f'{grouped(roubles, chr(160), chr(44))[:-3]} руб. {roubles % 100:02} коп.')}\n"
        f"НДС {mark('vat_percent', 20, '20%')}. {mark('city', 'Санкт-Петербург', 'г. Санкт–Петербург')}\n"
        f"{know('stamp', 'Печать 8817', 'nowhere')}"
    )


def _thai(chance: random.Random) -> str:
    day, baht = random_day(chance), _cents(chance)
    shown = f"{day[2]} {_TH[day[1] - 1]} {day[0] + 543}"
    return (
        f"ใบสั่งซื้อเลขที่ {mark('number', f'PO{chance.randint(1000, 9999)}')}\n"
        f"วันที่ {mark('issued', iso(day), digits(shown, '๐'))}\n"
        f"ผู้ขาย บริษัท{mark('seller', 'สยามการค้า')}จำกัด ผู้ติดต่อ{mark('contact', 'สมชาย ใจดี', 'คุณสมชาย ใจดี')}\n"
        f"รวมทั้งสิ้น {mark('total', baht / 100, digits(grouped(baht, ',', '.'), '๐'))} บาท\n"
        f"{know('warehouse', 'คลังสินค้าบางนา', 'nowhere')}"
    )


def _ticket(chance: random.Random) -> str:
    day, euros = random_day(chance), _cents(chance, 99_999)
    return (
        f"BILLETE {mark('code', f'R{chance.randint(10, 99)} 7K{chance.randint(10, 99)}', None)}\n"
        f"Salida: {mark('from', 'Málaga-María Zambrano', 'MALAGA MARIA ZAMBRANO')}  {mark('departs', '15:05', '15.05 h')}\n"
        f"Llegada: {mark('to', 'Madrid')}  {mark('arrives', '17:40', '17h40')}\n"
        f"Fecha: {mark('date', iso(day), f'{day[2]} de {_ES[day[1] - 1]} de {day[0]}')}\n"
        f"Viajera: {mark('traveller', 'María José Núñez', 'NUÑEZ/MARIA JOSE')}\n"
        f"Importe: {mark('price', euros / 100, grouped(euros, '.', ',') + ' €')}  Coche {mark('coach', 4)} Plaza {mark('seat', '4A')}\n"
        f"{know('meal', 'Menú vegetariano', 'nowhere')}"
    )


def _lease(chance: random.Random) -> str:
    year, month, euros = chance.randint(2021, 2026), chance.randint(1, 12), _cents(chance, 250_000)
    return (
        f"BAIL D’HABITATION\nEntre {mark('landlord', 'Mme Hélène Lefèvre', 'Madame Hélène LEFÈVRE')} et "
        f"{mark('tenant', 'Jean-Luc Dupont', 'M. Jean‑Luc DUPONT')},\n"
        f"à compter du {mark('starts', f'{year}-{month:02}-01', f'1er {_FR[month - 1]} {year}')}, pour une durée de "
        f"trois ({mark('years', 3)}) ans.\nLoyer : {mark('rent', euros / 100, grouped(euros, chr(0x202F), ',') + chr(0xA0) + '€')} "
        f"par mois ; surface {mark('surface', 47.5, '47,50 m²')}, {mark('address', '12 bis, rue de l’Œuvre', '12 bis, rue de l’Oeuvre')}.\n"
        f"{know('notary', 'Maître Vauquelin', 'nowhere')}"
    )


def _korean(chance: random.Random) -> str:
    day, won = random_day(chance), chance.randint(10_000, 9_999_999)
    return (
        f"영수증\n상호: {mark('shop', '한강서점')}  대표 {mark('owner', '김민수')}님\n"
        f"일시: {mark('at', f'{iso(day)}T15:05', f'{day[0]}. {day[1]}. {day[2]}. 오후 3시 5분')}\n"
        f"합계 {mark('total', won, f'{won:,}원')}  할인 {mark('discount', 15, '15％')}\n"
        f"사업자번호 {mark('business', '123-45-67890')}\n{know('branch', '부산해운대점', 'nowhere')}"
    )


def _statement(chance: random.Random) -> str:
    year, rows = chance.randint(2021, 2026), []
    for place in range(4):
        month, day, amount = chance.randint(1, 12), chance.randint(13, 28), _cents(chance)
        rows.append(
            f"{mark(f'rows/{place}/date', f'{year}-{month:02}-{day}', f'{day} {_EN[month - 1]}')}   "
            f"{mark(f'rows/{place}/payee', chance.choice(('Cobalt Water', 'Rent', 'Rent deposit')))}     "
            f"{mark(f'rows/{place}/amount', -amount / 100, f'({grouped(amount, chr(44), chr(46))})')}\n"
        )
    return (
        f"STATEMENT OF ACCOUNT — 1 January {year} to 31 December {year}\n"
        f"IBAN {mark('iban', 'GB33BUKB20201555555555', 'GB33 BUKB 2020 1555 5555 55')}\n{''.join(rows)}"
        f"{know('rows_count', 4, 'inferred')}{know('manager', 'Dorothea Finch', 'nowhere')}"
    )


_KINDS: Final[dict[str, Write]] = {
    "Swiss quote, Markdown": _swiss_quote,
    "receipt, thermal": _receipt,
    "Indian invoice": _gst_invoice,
    "Japanese invoice, eras": _japanese,
    "Arabic contract": _arabic,
    "Hebrew letter": _hebrew,
    "source of a page": _web_page,
    "report, Markdown": _report,
    "CSV": _table,
    "JSON lines": _log,
    "thread of mails": _thread,
    "scan, hyphenated": _scan,
    "laboratory": _laboratory,
    "curriculum": _cv,
    "subtitles": _subtitles,
    "Chinese notice": _chinese,
    "Russian act": _russian,
    "Thai order": _thai,
    "Spanish ticket": _ticket,
    "French lease": _lease,
    "Korean receipt": _korean,
    "bank statement": _statement,
}


def held_out(seed: int = 20261129) -> list[Document]:
    """Return the documents: each kind three times, with other figures, dates and names."""
    return [*_documents(seed)]


def _documents(seed: int) -> Iterator[Document]:
    for kind, write in _KINDS.items():
        for number in range(EACH):
            name = f"{kind}-{number}"
            yield read(name, write(random.Random(f"{seed} {name}")))
